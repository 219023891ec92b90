"""Series: what they are, how far people have come in them, and the form that writes them."""
