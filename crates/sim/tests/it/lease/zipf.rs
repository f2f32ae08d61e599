//! A thousand tenants, three gateways, 20,000 decisions a second.
