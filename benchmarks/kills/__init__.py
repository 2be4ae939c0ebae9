"""Kills a dialling server between any two steps, and shows that nobody is called twice."""
