//! Which service a path belongs to: the longest prefix that ends on a segment boundary.
//!
//! `/cart` matches `/cart` and `/cart/7`, and not `/cartography`. A path is matched segment by
//! segment, so what it costs depends on the path's depth and not on the number of routes.

use std::collections::HashMap;

use watertight_base::ServiceId;

use crate::Error;

/// Route prefixes and their services.
#[derive(Clone, Debug, Default)]
pub struct Routes {
    by_prefix: HashMap<String, ServiceId>,
    depth_max: usize,
}

impl Routes {
    pub(crate) fn insert(&mut self, route: &str, service: &ServiceId) -> Result<(), Error> {
        if !Self::is_normal(route) {
            return Err(Error::Route {
                route: route.to_owned(),
                service: service.clone(),
            });
        }
        let prefix = route.trim_end_matches('/');
        self.depth_max = self.depth_max.max(prefix.matches('/').count());
        match self.by_prefix.insert(prefix.to_owned(), service.clone()) {
            None => Ok(()),
            Some(first) => Err(Error::RouteTwice {
                route: route.to_owned(),
                first,
                second: service.clone(),
            }),
        }
    }

    /// Whether `route` can be one: an absolute path in the normal form that the front door makes.
    pub fn is_normal(route: &str) -> bool {
        let prefix = route.trim_end_matches('/');
        route.starts_with('/')
            && !route.contains(['?', '#', '%', '\\', ' '])
            && prefix
                .split('/')
                .skip(1)
                .all(|segment| !matches!(segment, "" | "." | ".."))
    }

    /// The service of `path`: that of the longest matching prefix.
    ///
    /// `path` begins with `/` and is in the normal form that the front door makes: escapes of
    /// unreserved characters decoded, no empty, `.` or `..` segments.
    pub fn service_of(&self, path: &str) -> Option<&ServiceId> {
        self.route_of(path).map(|(_, service)| service)
    }

    /// The longest matching prefix of `path`, and its service.
    pub fn route_of(&self, path: &str) -> Option<(&str, &ServiceId)> {
        let boundaries = path.match_indices('/').map(|(at, _)| at).skip(1);
        let deepest = boundaries.take(self.depth_max).last();
        let shorter = |end: &usize| path[..*end].rfind('/').filter(|&at| at > 0);
        let ends = std::iter::successors(deepest, shorter);
        std::iter::once(path.len())
            .chain(ends)
            .find_map(|end| {
                self.by_prefix
                    .get_key_value(path[..end].trim_end_matches('/'))
            })
            .or_else(|| self.by_prefix.get_key_value(""))
            .map(|(prefix, service)| (prefix.as_str(), service))
    }

    /// All routes with their services, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &ServiceId)> {
        self.by_prefix.iter().map(|(prefix, service)| {
            (
                if prefix.is_empty() {
                    "/"
                } else {
                    prefix.as_str()
                },
                service,
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routes() -> Routes {
        let mut routes = Routes::default();
        for (route, service) in [
            ("/cart", "checkout"),
            ("/cart/gifts", "gifts"),
            ("/a/b/", "ab"),
        ] {
            routes.insert(route, &service.parse().unwrap()).unwrap();
        }
        routes
    }

    #[test]
    fn the_longest_prefix_on_a_segment_boundary_wins() {
        let routes = routes();
        let of = |path| routes.service_of(path).map(|id| id.as_str().to_owned());
        assert_eq!(of("/cart").as_deref(), Some("checkout"));
        assert_eq!(of("/cart/").as_deref(), Some("checkout"));
        assert_eq!(of("/cart/7/gifts").as_deref(), Some("checkout"));
        assert_eq!(of("/cart/gifts/7").as_deref(), Some("gifts"));
        assert_eq!(of("/cart/gifts2"), Some("checkout".to_owned()));
        assert_eq!(of("/cartography"), None);
        assert_eq!(of("/a/b/c/d/e/f").as_deref(), Some("ab"));
        assert_eq!(of("/"), None);
    }

    #[test]
    fn the_root_route_takes_what_is_left() {
        let mut routes = routes();
        routes.insert("/", &"rest".parse().unwrap()).unwrap();
        assert_eq!(routes.service_of("/").unwrap().as_str(), "rest");
        assert_eq!(routes.service_of("/x/y").unwrap().as_str(), "rest");
        assert_eq!(routes.service_of("/cart/7").unwrap().as_str(), "checkout");
    }

    #[test]
    fn a_route_that_is_not_normal_is_refused() {
        for route in ["", "cart", "/a//b", "/a/../b", "/a?x", "/%61", "/a b"] {
            let mut routes = Routes::default();
            assert!(
                routes.insert(route, &"x".parse().unwrap()).is_err(),
                "{route:?}"
            );
        }
        let mut routes = routes();
        assert!(matches!(
            routes.insert("/cart/", &"x".parse().unwrap()),
            Err(Error::RouteTwice { .. })
        ));
    }
}
