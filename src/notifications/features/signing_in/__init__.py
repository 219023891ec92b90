"""Staff sign in: pages by django-allauth, single sign-on, invitations, sessions."""
