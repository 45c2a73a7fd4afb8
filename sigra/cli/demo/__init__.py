"""`sigra demo`: a small application to try Sigra with, complete with a user and a key."""
