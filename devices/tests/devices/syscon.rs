use crate::support::{load, refuses_others, store};
use devices::{AccessFault, Device, Power, PowerSwitch, State, Syscon, Width, uart};
use std::sync::{Arc, Mutex};

#[derive(Default)]
struct Requests(Mutex<Vec<Power>>);

impl PowerSwitch for Requests {
    fn request(&self, power: Power) {
        self.0.lock().expect("no panic").push(power);
    }
}

#[test]
fn three_values_mean_something() {
    let requests = Arc::new(Requests::default());
    let mut syscon = Syscon::new(requests.clone());
    for value in [0x5555, 0x7777, 0x12_3333, 0x5556, 0, !0] {
        store(&mut syscon, 0, value);
    }
    store(&mut syscon, 4, 0x5555);
    syscon
        .write(0, Width::Half, 0x7777)
        .expect("firmware writes half-words");
    let expected = [Power::Off, Power::Reset, Power::Failed(0x12), Power::Reset];
    assert_eq!(*requests.0.lock().expect("no panic"), expected);
    assert_eq!(load(&mut syscon, 0), 0);
    for width in [Width::Byte, Width::Double] {
        assert_eq!(syscon.write(0, width, 0x5555), Err(AccessFault));
    }
    assert_eq!(syscon.save(), State::Syscon);
    refuses_others(&mut syscon, State::Uart(uart::State::default()));
}
