"""How far storage by age has come."""
