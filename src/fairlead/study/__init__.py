"""A study: the loop that moves it from its first trial to a judged version."""
