//! What the generated documentation is made from: the command line and the JSON schemas.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::cli::Cli;
use crate::document::{
    ApplyDocument, CheckDocument, InspectDocument, LogDocument, PlanDocument, RecoverDocument,
    TransactionDocument, UndoDocument, VerifyDocument, VmCheckDocument, VmDocument, VmShowDocument,
};
use crate::host::pci::{PciAddress, PciClass, PciId};
use crate::plan::Expectation;

/// The whole command line.
pub fn command() -> clap::Command {
    <Cli as clap::CommandFactory>::command()
}

/// Name and JSON schema of every document of the contract.
pub fn schemas() -> Vec<(&'static str, serde_json::Value)> {
    vec![
        ("inspect", of::<InspectDocument>()),
        ("check", of::<CheckDocument>()),
        ("plan", of::<PlanDocument>()),
        ("apply", of::<ApplyDocument>()),
        ("verify", of::<VerifyDocument>()),
        ("undo", of::<UndoDocument>()),
        ("log", of::<LogDocument>()),
        ("transaction", of::<TransactionDocument>()),
        ("recover", of::<RecoverDocument>()),
        ("vm", of::<VmDocument>()),
        ("vm-show", of::<VmShowDocument>()),
        ("vm-check", of::<VmCheckDocument>()),
    ]
}

/// A field that may be `null` is there nevertheless, as serde writes it.
fn of<T: JsonSchema>() -> serde_json::Value {
    let settings = schemars::generate::SchemaSettings::draft2020_12().for_serialize();
    settings.into_generator().into_root_schema_for::<T>().to_value()
}

macro_rules! text {
    ($type:ty, $name:literal, $pattern:literal, $description:literal) => {
        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({
                    "type": "string", "pattern": $pattern, "description": $description
                })
            }
        }
    };
}

text!(
    PciAddress,
    "PciAddress",
    "^[0-9a-f]{4,8}:[0-9a-f]{2}:[01][0-9a-f]\\.[0-7]$",
    "A PCI address, as sysfs writes it."
);
text!(PciId, "PciId", "^[0-9a-f]{4}:[0-9a-f]{4}$", "Vendor and device.");
text!(PciClass, "PciClass", "^[0-9a-f]{4}$", "Base class and subclass.");

impl JsonSchema for Expectation {
    fn schema_name() -> Cow<'static, str> {
        "Expectation".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "One fact that must hold after the reboot.",
            "type": "object",
            "properties": {
                "id": {"type": "string", "description": "Stable name."},
                "text": {"type": "string", "description": "One sentence."}
            },
            "required": ["id", "text"]
        })
    }
}
