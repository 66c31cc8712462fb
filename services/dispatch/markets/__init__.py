"""Work sites of a mobile market (作业点): one place where goods for several communities are handed over."""
