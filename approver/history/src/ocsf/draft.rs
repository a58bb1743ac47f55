//! One record in the making, and the order its keys come out in.

use super::{
    class::{Class, Severity, Status, VERSION, control},
    json::{Json, Object},
    text::Texts,
};

/// What is the same for all records of one source.
#[derive(Clone, Debug)]
pub(super) struct Origin {
    /// Unique for each record.
    pub(super) uid: String,
    /// When it happened, milliseconds since the epoch.
    pub(super) time: i64,
    /// When the approver stored it.
    pub(super) logged_time: i64,
    /// The program that tells: its version may be unknown.
    pub(super) product: &'static str,
    /// The host's spool, in hexadecimal, and the number in it.
    pub(super) numbered: Option<(String, i64)>,
}

/// One of OCSF's numbers, with its caption.
pub(super) type Numbered = (i64, &'static str);

/// A record whose texts are settled.
#[derive(Debug)]
pub(super) struct Draft {
    class: Class,
    activity: (i64, &'static str),
    /// What a query calls it: `exec`, `decision`, ...
    kind: &'static str,
    /// What became of it: `denied`, `approved`, ...
    outcome: &'static str,
    pub(super) severity: Severity,
    pub(super) status: Option<Status>,
    pub(super) status_detail: String,
    pub(super) message: String,
    pub(super) correlation: String,
    pub(super) control: Option<(Numbered, Numbered)>,
    /// The body has attributes of the profile `security_control`.
    pub(super) profiled: bool,
    /// Attributes of the class and its profiles.
    pub(super) body: Object,
    /// What OCSF has no place for.
    pub(super) unmapped: Object,
    pub(super) observables: Vec<Json>,
    /// Where in the record the body will be: what is observed is named by its
    /// place.
    pub(super) place: &'static str,
}

impl Draft {
    pub(super) fn new(
        class: Class,
        activity: (i64, &'static str),
        kind: &'static str,
        outcome: &'static str,
    ) -> Self {
        Self {
            class,
            activity,
            kind,
            outcome,
            severity: Severity::Informational,
            status: Some(Status::Success),
            status_detail: String::new(),
            message: String::new(),
            correlation: String::new(),
            control: None,
            profiled: false,
            body: Object::new(),
            unmapped: Object::new(),
            observables: Vec::new(),
            place: "",
        }
    }

    /// Adds what a detection or a search may want to find by its value alone.
    pub(super) fn observe(&mut self, name: &'static str, kind: Observable, value: &str) {
        if value.is_empty() {
            return;
        }
        let (type_id, type_name) = kind.type_of();
        self.observables.push(
            Object::new()
                .with("name", format!("{}{name}", self.place))
                .with("type_id", type_id)
                .with("type", type_name)
                .with("value", value)
                .into(),
        );
    }

    /// The whole record.
    pub(super) fn finish(self, origin: &Origin, texts: Texts) -> Object {
        let (cut, raw) = texts.into_parts();
        let mut profiles = vec![Json::from("host")];
        if self.control.is_some() || self.profiled {
            profiles.push("security_control".into());
        }
        let product = Object::new()
            .with("name", origin.product)
            .with("vendor_name", "Holdpoint");
        let numbered = origin.numbered.as_ref();
        let metadata = Object::new()
            .with("version", VERSION)
            .with("uid", origin.uid.clone())
            .with("product", product)
            .with("profiles", profiles)
            .with("event_code", self.kind)
            .with("log_name", "holdpoint")
            .with("logged_time", origin.logged_time)
            .maybe("sequence", numbered.map(|(_, sequence)| (*sequence).into()))
            .text("correlation_uid", self.correlation)
            .maybe("is_truncated", cut.then(|| true.into()));
        let record = Object::new()
            .with("metadata", metadata)
            .with("time", origin.time)
            .and(self.class.head(self.activity))
            .text("message", self.message);
        let record = self.severity.onto(record);
        let record = match self.status {
            Some(status) => status.onto(record),
            None => record,
        };
        let record = record.text("status_detail", self.status_detail);
        let record = match self.control {
            Some((action, disposition)) => control(record, action, disposition),
            None => record,
        };
        let unmapped = Object::new()
            .with("kind", self.kind)
            .with("outcome", self.outcome)
            .and(self.unmapped)
            .maybe("spool", numbered.map(|(spool, _)| spool.clone().into()))
            .maybe("raw", Json::from(raw));
        record
            .and(self.body)
            .maybe("observables", Json::from(self.observables))
            .with("unmapped", unmapped)
    }
}

/// OCSF's types of observables, as far as records have them.
#[derive(Clone, Copy, Debug)]
pub(super) enum Observable {
    Hostname,
    Ip,
    User,
    Hash,
    Process,
    Port,
    Path,
}

impl Observable {
    const fn type_of(self) -> (i64, &'static str) {
        match self {
            Self::Hostname => (1, "Hostname"),
            Self::Ip => (2, "IP Address"),
            Self::User => (4, "User Name"),
            Self::Hash => (8, "Hash"),
            Self::Process => (9, "Process Name"),
            Self::Port => (11, "Port"),
            Self::Path => (45, "File Path"),
        }
    }
}
