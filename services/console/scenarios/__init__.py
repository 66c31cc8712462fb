"""Cases played through the gateway as the people of a town would: no step goes round the interface."""
