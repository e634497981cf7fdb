DROP TABLE audit_sink_positions;
DROP TABLE audit_sink_deliveries;
DROP TABLE audit_sinks;
