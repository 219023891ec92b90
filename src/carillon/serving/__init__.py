"""Serves HTTP: bounds, threads, middleware, sessions, the web server."""
