//! What there is: resources by name with their capacities, and amounts of them.

use smallvec::SmallVec;

use crate::request::RequestError;

/// Amounts are kept in thousandths, so that sums of fractions of a core stay exact.
pub(crate) const UNIT: f64 = 1000.0;

/// Resource (its place among the capacities) and amount in thousandths; no zero amounts, no resource twice.
pub type Needs = SmallVec<[(u16, u64); 4]>;

/// Names and capacities of all resources; they never change.
#[derive(Debug, Default)]
pub struct Resources {
    names: Vec<String>,
    capacity: Vec<u64>,
}

impl Resources {
    /// Resources by name, amounts in each one's own unit. Of a name given twice the last amount holds.
    pub fn new<S: Into<String>>(capacities: impl IntoIterator<Item = (S, f64)>) -> Self {
        let mut resources = Self::default();
        for (name, amount) in capacities {
            let (name, amount) = (name.into(), (amount.max(0.0) * UNIT).round() as u64);
            match resources.place(&name) {
                Some(place) => resources.capacity[place] = amount,
                None => {
                    resources.names.push(name);
                    resources.capacity.push(amount);
                }
            }
        }
        resources
    }

    fn place(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|known| known == name)
    }

    /// The name of the resource at `place`.
    pub(crate) fn name(&self, place: u16) -> &str {
        &self.names[place as usize]
    }

    /// All names in order.
    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }

    /// All capacities in order, in thousandths.
    pub(crate) fn capacity(&self) -> &[u64] {
        &self.capacity
    }

    /// Adds `asked` of `resource` to `needs`. Zero of anything, known or not, is no need.
    pub fn add(
        &self,
        needs: &mut Needs,
        owner: &str,
        resource: &str,
        asked: f64,
    ) -> Result<(), RequestError> {
        let named = || (owner.to_owned(), resource.to_owned());
        if !asked.is_finite() || asked < 0.0 {
            let (owner, resource) = named();
            return Err(RequestError::NoAmount {
                owner,
                resource,
                asked,
            });
        }
        if asked == 0.0 {
            return Ok(());
        }
        let Some(place) = self.place(resource) else {
            let (owner, resource) = named();
            return Err(RequestError::UnknownResource { owner, resource });
        };
        let before = needs.iter().position(|need| need.0 as usize == place);
        let amount = ((asked * UNIT).ceil() as u64)
            .saturating_add(before.map_or(0, |before| needs[before].1));
        if amount > self.capacity[place] {
            let (owner, resource) = named();
            return Err(RequestError::Infeasible {
                owner,
                resource,
                asked,
                capacity: self.capacity[place] as f64 / UNIT,
            });
        }
        match before {
            Some(before) => needs[before].1 = amount,
            None => needs.push((place as u16, amount)),
        }
        Ok(())
    }

    /// Turns names and amounts into [`Needs`], as [`Resources::add`].
    pub fn needs<'a>(
        &self,
        owner: &str,
        amounts: impl IntoIterator<Item = (&'a str, f64)>,
    ) -> Result<Needs, RequestError> {
        let mut needs = Needs::new();
        for (resource, asked) in amounts {
            self.add(&mut needs, owner, resource, asked)?;
        }
        Ok(needs)
    }

    /// Names and amounts of `needs`.
    pub fn amounts<'a>(&'a self, needs: &'a Needs) -> impl Iterator<Item = (&'a str, f64)> {
        needs
            .iter()
            .map(|&(place, amount)| (self.name(place), amount as f64 / UNIT))
    }

    /// The largest part of a capacity that `needs` takes.
    pub(crate) fn dominant_share(&self, needs: &[(u16, u64)]) -> f64 {
        let part = |&(place, amount): &(u16, u64)| {
            amount as f64 / self.capacity[place as usize].max(1) as f64
        };
        needs.iter().map(part).fold(0.0, f64::max)
    }
}
