"""The shell of a call: everything that touches the loop, the disk or the wire for it."""
