"""Keys of people and addresses, in a store of their own, and the cells that they seal.

Erasing a person deletes their key. What it sealed is unreadable from then on, in every backup too.
"""
