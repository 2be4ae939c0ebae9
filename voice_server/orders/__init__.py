"""Booking and dispatch of orders."""
