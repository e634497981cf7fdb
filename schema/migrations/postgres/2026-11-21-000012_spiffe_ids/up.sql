-- Which clients a workload's SPIFFE ID stands for.
CREATE INDEX clients_by_spiffe_id ON clients ((settings::json ->> 'spiffe_id'))
    WHERE auth_method IN ('spiffe_jwt', 'spiffe_x509');
