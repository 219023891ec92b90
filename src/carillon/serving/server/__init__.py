"""The server that accepts connections: its socket, its protocols and its end."""
