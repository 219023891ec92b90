"""How HTTP is served: bounds, threads, middleware, sessions, the web server."""
