"""Routes of sign-ins, of invitations of staff, and of ending tokens."""

from notifications.api.sign_in.routes import ROUTES as ROUTES
