"""A corpus of behaviours of people and machines towards tracked mails, from published texts.

`families` lists them in two halves, to tune on and held out; `generator.requests_of`
simulates the requests of one. No request here was recorded from a real mail.
"""
