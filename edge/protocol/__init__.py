"""What a connection may say and when: frames, codecs, states, catching up. No I/O, no clock, no loop."""
