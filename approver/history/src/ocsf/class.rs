//! OCSF's numbers: which class a record is of, and what its verbs are called.

use super::json::Object;

/// The OCSF version every record says it follows.
pub const VERSION: &str = "1.8.0";

/// An OCSF class.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Class {
    ProcessActivity,
    EventLogActivity,
    DetectionFinding,
    AccountChange,
    Authentication,
    EntityManagement,
    NetworkActivity,
    DeviceConfigStateChange,
    ApplicationLifecycle,
    ApiActivity,
}

/// `activity_id` for what a class has no number for.
pub(super) const OTHER: i64 = 99;

impl Class {
    const fn uid(self) -> i64 {
        match self {
            Self::ProcessActivity => 1007,
            Self::EventLogActivity => 1008,
            Self::DetectionFinding => 2004,
            Self::AccountChange => 3001,
            Self::Authentication => 3002,
            Self::EntityManagement => 3004,
            Self::NetworkActivity => 4001,
            Self::DeviceConfigStateChange => 5019,
            Self::ApplicationLifecycle => 6002,
            Self::ApiActivity => 6003,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::ProcessActivity => "Process Activity",
            Self::EventLogActivity => "Event Log Activity",
            Self::DetectionFinding => "Detection Finding",
            Self::AccountChange => "Account Change",
            Self::Authentication => "Authentication",
            Self::EntityManagement => "Entity Management",
            Self::NetworkActivity => "Network Activity",
            Self::DeviceConfigStateChange => "Device Config State Change",
            Self::ApplicationLifecycle => "Application Lifecycle",
            Self::ApiActivity => "API Activity",
        }
    }

    const fn category(self) -> &'static str {
        match self.uid() / 1000 {
            1 => "System Activity",
            2 => "Findings",
            3 => "Identity & Access Management",
            4 => "Network Activity",
            5 => "Discovery",
            _ => "Application Activity",
        }
    }

    /// The classification every record begins with.
    pub(super) fn head(self, activity: (i64, &str)) -> Object {
        let (activity_id, activity_name) = activity;
        Object::new()
            .with("class_uid", self.uid())
            .with("class_name", self.name())
            .with("category_uid", self.uid() / 1000)
            .with("category_name", self.category())
            .with("activity_id", activity_id)
            .with("activity_name", activity_name)
            .with("type_uid", self.uid() * 100 + activity_id)
            .with("type_name", format!("{}: {activity_name}", self.name()))
    }
}

/// OCSF's severities.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Severity {
    Informational = 1,
    Low = 2,
    Medium = 3,
    High = 4,
    Critical = 5,
}

impl Severity {
    pub(super) fn onto(self, object: Object) -> Object {
        let name = match self {
            Self::Informational => "Informational",
            Self::Low => "Low",
            Self::Medium => "Medium",
            Self::High => "High",
            Self::Critical => "Critical",
        };
        object
            .with("severity_id", self as i64)
            .with("severity", name)
    }
}

/// Whether what was tried was done.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Status {
    Success,
    Failure,
    /// Not known yet.
    Waiting,
}

impl Status {
    pub(super) fn onto(self, object: Object) -> Object {
        let (id, name) = match self {
            Self::Success => (1, "Success"),
            Self::Failure => (2, "Failure"),
            Self::Waiting => (OTHER, "Waiting"),
        };
        object.with("status_id", id).with("status", name)
    }
}

/// What the security control did: its `action` and `disposition`.
pub(super) fn control(object: Object, action: (i64, &str), disposition: (i64, &str)) -> Object {
    object
        .with("action_id", action.0)
        .with("action", action.1)
        .with("disposition_id", disposition.0)
        .with("disposition", disposition.1)
}
