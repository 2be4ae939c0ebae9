"""Every engine fails in every way at every moment of a call: how long is its caller left alone?"""
