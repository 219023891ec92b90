"""What a restored database needs before it may send: nothing is repeated without a decision."""
