//! Clients known by a metadata document, as they are stored.

use crate::support::*;
use rstest::rstest;
use stipend_schema::documents::{ClientDocumentRow, DocumentClientRow};
use stipend_schema::queries::{OwnerFilter, Page};
use stipend_schema::testing::TestDatabase;
use stipend_schema::*;

fn entry(id: &str, owner_id: &str, url: &str) -> ClientDocumentRow {
    ClientDocumentRow {
        id: id.to_owned(),
        owner_id: owner_id.to_owned(),
        name: id.to_owned(),
        url: url.to_owned(),
        covers: "one".to_owned(),
        template: "{}".to_owned(),
        max_clients: 2,
        state: "active".to_owned(),
        created_by: "stipend.admin".to_owned(),
        created_at: 1,
        updated_at: 1,
    }
}

fn known(client_id: &str, document_id: &str) -> DocumentClientRow {
    DocumentClientRow {
        client_id: client_id.to_owned(),
        document_id: document_id.to_owned(),
        url: format!("https://tools.example/{client_id}"),
        digest: "d".to_owned(),
        read_at: 1,
        created_at: 1,
        updated_at: 1,
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_url_is_declared_once_until_it_is_revoked(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let database = TestDatabase::new(backend).await;
    let node = node(&database).await;
    for owner_id in ["alpha", "beta"] {
        node.commit(insert(Row::Owner(owner(owner_id)))).await;
    }
    let url = "https://tools.example/a.json";
    let first = entry("cdo_1", "alpha", url);
    node.commit(insert(Row::ClientDocument(first.clone()))).await;
    let second = || insert(Row::ClientDocument(entry("cdo_2", "beta", url)));
    assert_eq!(node.submit(second()).await, Outcome::Conflict);
    let suspended = ClientDocumentRow { state: "suspended".to_owned(), updated_at: 2, ..first.clone() };
    node.commit(writing(Write::Update(Row::ClientDocument(suspended.clone())))).await;
    assert_eq!(node.submit(second()).await, Outcome::Conflict, "what is suspended is still declared");
    assert_eq!(queries::client_documents(&node.db).await.unwrap(), std::slice::from_ref(&suspended));
    let revoked = ClientDocumentRow { state: "revoked".to_owned(), ..suspended };
    node.commit(writing(Write::Update(Row::ClientDocument(revoked.clone())))).await;
    node.commit(second()).await;
    let live = queries::client_documents(&node.db).await.unwrap();
    assert_eq!(live.iter().map(|row| row.id.as_str()).collect::<Vec<_>>(), ["cdo_2"]);
    // The list has both, each for its owner.
    let page = Page { after: None, limit: 10 };
    let of = async |owners: &OwnerFilter| {
        let rows = queries::list_client_documents(&node.db, owners, &page).await.unwrap();
        rows.into_iter().map(|row| row.id).collect::<Vec<_>>()
    };
    assert_eq!(of(&OwnerFilter::All).await, ["cdo_1", "cdo_2"]);
    assert_eq!(of(&OwnerFilter::Only(vec!["alpha".to_owned()])).await, ["cdo_1"]);
    assert_eq!(queries::find_client_document(&node.db, "cdo_1").await.unwrap(), Some(revoked));
    assert_eq!(queries::find_client_document(&node.db, "cdo_3").await.unwrap(), None);
    let wrong = ClientDocumentRow { state: "asleep".to_owned(), ..entry("cdo_4", "beta", "https://b.example/x") };
    let refused = node.submit(insert(Row::ClientDocument(wrong))).await;
    assert_eq!(refused, Outcome::Invalid("a value the table does not admit"));
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_client_is_found_with_the_document_it_is_known_by(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let database = TestDatabase::new(backend).await;
    let node = node(&database).await;
    let (one, two) = (node.with_client("alpha", "one").await, node.with_client("alpha", "two").await);
    node.commit(insert(Row::ClientDocument(entry("cdo_1", "alpha", "https://tools.example/")))).await;
    // Of an entry that is not there, and of a client that is not there.
    assert_eq!(node.submit(insert(Row::DocumentClient(known(&one, "cdo_2")))).await, Outcome::Conflict);
    assert_eq!(node.submit(insert(Row::DocumentClient(known("alpha.none", "cdo_1")))).await, Outcome::Conflict);
    node.commit(insert(Row::DocumentClient(known(&one, "cdo_1")))).await;
    assert_eq!(node.submit(insert(Row::DocumentClient(known(&one, "cdo_1")))).await, Outcome::Conflict);
    let changed = DocumentClientRow { digest: "e".to_owned(), read_at: 9, updated_at: 9, ..known(&one, "cdo_1") };
    node.commit(writing(Write::Update(Row::DocumentClient(changed.clone())))).await;
    let document_of = async |id: &str| queries::find_client_bundle(&node.db, id).await.unwrap().unwrap().document;
    assert_eq!(document_of(&one).await, Some(changed));
    assert_eq!(document_of(&two).await, None);
    assert_eq!(queries::clients_of_document(&node.db, "cdo_1").await.unwrap(), [one]);
    assert!(queries::clients_of_document(&node.db, "cdo_2").await.unwrap().is_empty());
}
