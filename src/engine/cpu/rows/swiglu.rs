//! SwiGLU (Shazeer, 2020): `silu(gate) · up`.

use crate::engine::cpu::gemm::panels::Panels;
use crate::engine::cpu::level::for_each_level;
use crate::engine::cpu::rows::math::{row_by_row, sigmoid};

for_each_level! {
/// `silu(gate) · up` of panels 2n and 2n + 1 becomes panel n of `results`.
pub fn swiglu(gates_and_ups: &Panels<'_>, results: &mut Panels<'_>) {
    for panel in 0..gates_and_ups.count() / 2 {
        let (gates, ups) = (gates_and_ups.panel(2 * panel), gates_and_ups.panel(2 * panel + 1));
        for ((result, gates), ups) in results.panel_mut(panel).iter_mut().zip(gates).zip(ups) {
            row_by_row();
            for ((result, gate), up) in result.iter_mut().zip(gates).zip(ups) {
                *result = gate * up * sigmoid::<FMA>(*gate);
            }
        }
    }
}
}
