"""Wire-true simulators of the remote services, with faults on demand and a meter."""
