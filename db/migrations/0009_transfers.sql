-- The call to the human who takes over. An item of its own: what the carrier tells of our own
-- call takes the place of that call's estimate only.
INSERT INTO prices (item, micro_usd, per, effective_from, source) VALUES
('twilio.voice_transfer.minutes', 14000, 1, '2000-01-01T00:00:00Z', 'list price, US');
