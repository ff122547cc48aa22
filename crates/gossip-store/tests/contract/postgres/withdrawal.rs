//! Changes of access that become visible in another order than they were numbered, and a table that is emptied.

use sqlx::{AssertSqlSafe, Connection};

use crate::access::{News, told};
use crate::support::{Fixture, PostgresDatabase};

#[tokio::test]
async fn a_withdrawal_is_told_of_however_long_its_transaction_took() {
    let database = PostgresDatabase::create().await;
    let mut slow = database.connection().await;
    let f = Fixture::of_postgres(database).await;
    let room = f.room();
    for user in 1..=3 {
        f.store.add_member(room, f.user(user), f.now()).await.unwrap();
    }
    let remove = |user| format!(r#"DELETE FROM "gossip_room_members" WHERE "userId" = '{}'"#, f.user(user));
    let mut open = slow.begin().await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(remove(1))).execute(&mut *open).await.unwrap();
    // Before or after the transaction began: until it ends, it is news.
    let mut news = News::from_now(&f, 2).await;
    f.store.remove_member(room, f.user(2)).await.unwrap();
    assert_eq!(told(&news.next().await), [(2, Some(room))]);
    f.store.remove_member(room, f.user(3)).await.unwrap();
    assert_eq!(told(&news.next().await), [(3, Some(room))]);
    assert_eq!(news.next().await, []);
    open.commit().await.unwrap();
    assert_eq!(told(&news.next().await), [(1, Some(room))]);
}

#[tokio::test]
async fn a_table_that_is_emptied_had_members() {
    let f = Fixture::postgres().await;
    let room = f.room();
    for user in 1..=2 {
        f.store.add_member(room, f.user(user), f.now()).await.unwrap();
    }
    let mut news = News::from_now(&f, 2).await;
    f.execute(r#"TRUNCATE "gossip_room_members""#).await;
    assert_eq!(told(&news.next().await), [(1, Some(room)), (2, Some(room))]);
}
