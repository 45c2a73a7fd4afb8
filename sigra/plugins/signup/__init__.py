"""Sign-up: what is asked for waits beside the accounts until its address is proven."""

from sigra.plugins.signup.pending import PendingSignUp
from sigra.plugins.signup.plugin import COOKIE, SignUp, SignUpRequested

__all__ = ["COOKIE", "PendingSignUp", "SignUp", "SignUpRequested"]
