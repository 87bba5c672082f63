"""What a Player may ask of the host: each file brokers one family of calls, after the grants were checked."""
