//! `events`: search, follow, SQL.

use holdpoint_proto::v1::{
    EventRecord, FollowEventsRequest, SearchEventsRequest, SqlRequest, audit_client::AuditClient,
};

use super::block_on;
use crate::{
    args::Events,
    contexts::{Context, store::Store},
    failure::Failure,
    output::Output,
    render,
    reviews::{self, Authorized, LARGEST_MESSAGE, Peer, ReviewsError, timed},
};

/// Records that are printed unless the person says how many.
const LIMIT: u32 = 100;
/// Records that are asked for at once.
const PAGE: u32 = 1000;

/// Runs the command.
pub(crate) fn run(name: &str, arguments: &Events, output: &mut Output) -> Result<(), Failure> {
    let context = Store::from_environment()?.load()?.get(name)?.clone();
    block_on(async {
        let mut asked = Asked::connect(name, &context).await?;
        if let Some(sql) = &arguments.sql {
            return asked.sql(sql, arguments.limit.unwrap_or(0), output).await;
        }
        let query = arguments.query.join(" ");
        if arguments.follow {
            asked.follow(query, output).await
        } else {
            asked
                .search(query, arguments.limit.unwrap_or(LIMIT), output)
                .await
        }
    })?
}

struct Asked {
    client: AuditClient<Authorized>,
    peer: Peer,
}

impl Asked {
    async fn connect(name: &str, context: &Context) -> Result<Self, Failure> {
        let (channel, peer) = reviews::connect(name, context).await?;
        Ok(Self {
            client: AuditClient::new(channel).max_decoding_message_size(LARGEST_MESSAGE),
            peer,
        })
    }

    async fn search(
        &mut self,
        query: String,
        limit: u32,
        output: &mut Output,
    ) -> Result<(), Failure> {
        let (mut left, mut page_token) = (limit, String::new());
        loop {
            let request = SearchEventsRequest {
                query: query.clone(),
                page_size: left.min(PAGE),
                page_token,
            };
            let answer = self.client.search_events(timed(request)).await;
            let page = answer
                .map_err(|status| self.peer.failed(&status))?
                .into_inner();
            for record in &page.records {
                print(record, output)?;
            }
            let printed = u32::try_from(page.records.len()).unwrap_or(u32::MAX);
            left = left.saturating_sub(printed);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return Ok(());
            }
            if left == 0 {
                if !output.json {
                    output.text("(there are more; --limit N prints more)\n")?;
                }
                return Ok(());
            }
        }
    }

    async fn follow(&mut self, query: String, output: &mut Output) -> Result<(), Failure> {
        let request = FollowEventsRequest {
            query,
            after_log_index: None,
        };
        let answer = self.client.follow_events(request).await;
        let mut records = answer
            .map_err(|status| self.peer.failed(&status))?
            .into_inner();
        while let Some(response) = records
            .message()
            .await
            .map_err(|status| self.peer.failed(&status))?
        {
            if let Some(record) = &response.record {
                print(record, output)?;
            }
        }
        Err(ReviewsError::WatchEnded.into())
    }

    async fn sql(&mut self, sql: &str, limit: u32, output: &mut Output) -> Result<(), Failure> {
        let request = SqlRequest {
            sql: sql.to_owned(),
            limit,
        };
        let answer = self.client.sql(timed(request)).await;
        let mut messages = answer
            .map_err(|status| self.peer.failed(&status))?
            .into_inner();
        let (mut columns, mut rows, mut cut) = (Vec::new(), Vec::new(), false);
        while let Some(message) = messages
            .message()
            .await
            .map_err(|status| self.peer.failed(&status))?
        {
            if !message.columns.is_empty() {
                columns = message.columns;
            }
            let read = message.rows.iter().map(|row| serde_json::from_str(row));
            let read = read.collect::<Result<Vec<Vec<serde_json::Value>>, _>>();
            rows.extend(read.map_err(|error| Failure::Output(error.into()))?);
            cut = message.cut;
        }
        if output.json {
            return output.json(&serde_json::json!({
                "columns": columns, "rows": rows, "cut": cut,
            }));
        }
        output.text(&render::event::table(&columns, &rows))?;
        if cut {
            output.text("(there are more; ask for less, or --limit N up to 10000)\n")?;
        }
        Ok(())
    }
}

fn print(record: &EventRecord, output: &mut Output) -> Result<(), Failure> {
    if output.json {
        output.text(&render::event::json(record))
    } else {
        output.text(&render::event::line(record))
    }
}
