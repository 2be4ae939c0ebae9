"""What the agent says: language models and the local receptionist."""
