"""A thousand calls over providers that fail at random: do both sides count the same?"""
