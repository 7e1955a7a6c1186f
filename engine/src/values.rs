//! Formulas of single values: what `const` and `enum` say, and what `uniqueItems` compares with.

use crate::formula::{FormulaId, Formulas, ItemTable, Kind, Kinds, PropertyTable};
use crate::json::Value;
use crate::number::NumberGoal;

impl Formulas {
    /// The formula of all values equal to one of these; texts become one language.
    pub fn any_of_values(&mut self, values: &[&Value]) -> FormulaId {
        let mut texts: Vec<&str> = Vec::new();
        let mut parts = Vec::new();
        let mut first_text = None;
        for value in values {
            if let Value::String(text) = value {
                first_text.get_or_insert(parts.len());
                texts.push(text);
            } else {
                parts.push(self.equal_to(value));
            }
        }
        if let Some(place) = first_text {
            let language = self.regexes.literals(&texts);
            let (own, text) = (self.types(Kinds::one(Kind::String)), self.text(language));
            let strings = self.and([own, text]);
            parts.insert(place, strings);
        }
        self.or(parts)
    }

    /// The formula of all values equal to this one.
    pub fn equal_to(&mut self, value: &Value) -> FormulaId {
        let kind = self.types(Kinds::one(Kind::of(value)));
        let same = match value {
            Value::Null | Value::Bool(_) => FormulaId::TRUE,
            Value::Number(number) => self.number(NumberGoal::equal_to(number.clone())),
            Value::String(text) => {
                let language = self.regexes.literal(text);
                self.text(language)
            }
            Value::Array(items) => self.equal_items(items),
            Value::Object(properties) => self.equal_properties(properties),
        };
        self.and([kind, same])
    }

    fn equal_items(&mut self, items: &[Value]) -> FormulaId {
        let prefix: Vec<_> = items.iter().map(|item| self.equal_to(item)).collect();
        let length = u32::try_from(items.len()).unwrap_or(u32::MAX);
        let each = self.items(ItemTable {
            prefix,
            rest: FormulaId::FALSE,
        });
        let count = self.item_count(length, Some(length));
        self.and([each, count])
    }

    fn equal_properties(&mut self, properties: &[(String, Value)]) -> FormulaId {
        let named: Vec<_> = properties
            .iter()
            .map(|(key, value)| (self.texts.intern(key.clone()), self.equal_to(value)))
            .collect();
        let keys = named.iter().map(|(key, _)| *key).collect();
        let each = self.properties(PropertyTable {
            named,
            patterns: Vec::new(),
            additional: FormulaId::FALSE,
        });
        let all = self.required(keys);
        self.and([each, all])
    }
}
