"""The inbox: a row of ours."""
