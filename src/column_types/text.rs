//! Columns as a text that a record keeps: a schema in Arrow's own form in base64, as Parquet files have it under `ARROW:schema`.

use anyhow::Result;

use super::ColumnTypes;

#[cfg(feature = "parquet")]
impl ColumnTypes {
    /// The columns as a text; empty, if there are none.
    pub(crate) fn text(&self) -> String {
        match self.get() {
            [] => String::new(),
            columns => parquet::arrow::encode_arrow_schema(&arrow_schema::Schema::new(columns.to_vec())),
        }
    }

    /// The columns of a text.
    ///
    /// # Errors
    /// If it is none of columns.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        use base64::Engine;
        use base64::prelude::BASE64_STANDARD;

        let types = Self::default();
        if !text.is_empty() {
            let bytes = BASE64_STANDARD.decode(text)?;
            let schema = crate::panics::guarded(|| arrow_ipc::convert::try_schema_from_ipc_buffer(&bytes));
            let schema = schema.map_err(anyhow::Error::msg)??;
            types.set(schema.fields().iter().map(|field| field.as_ref().clone()).collect(), Vec::new());
        }
        Ok(types)
    }
}

/// A build that reads no columns keeps none.
#[cfg(not(feature = "parquet"))]
impl ColumnTypes {
    pub(crate) fn text(&self) -> String {
        String::new()
    }

    pub(crate) fn parse(_text: &str) -> Result<Self> {
        Ok(Self::default())
    }
}
