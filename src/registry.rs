//! The only file that names protocols. A protocol is one line here, one cargo feature and one folder under `mappers/`.

use std::sync::Arc;

use mapper_api::Mapper;

/// The mappers that this binary was built with.
pub fn mappers() -> Vec<Arc<dyn Mapper>> {
    vec![
        #[cfg(feature = "ble")]
        Arc::new(mapper_ble::Ble::default()),
        #[cfg(feature = "modbus")]
        Arc::new(mapper_modbus::Modbus),
        #[cfg(feature = "serial")]
        Arc::new(mapper_serial::Serial::default()),
        #[cfg(feature = "virtual")]
        Arc::new(mapper_virtual::Virtual),
    ]
}
