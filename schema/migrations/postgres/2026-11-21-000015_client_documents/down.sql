DROP TABLE document_clients;
DROP TABLE client_documents;
