"""The web door: HTTP, and WebSocket. (What it needs is the extra ``web``.)"""
