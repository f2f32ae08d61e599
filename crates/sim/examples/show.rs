use watertight_sim::experiments::{Experiment, Size};
fn main() {
    let names: Vec<String> = std::env::args().skip(1).collect();
    let size = if names[0] == "full" {
        Size::Full
    } else {
        Size::Small
    };
    for n in &names[1..] {
        let t = std::time::Instant::now();
        let r = Experiment::find(n).unwrap().run(1, size);
        println!("== {n}\n{r}\n({:?})\n", t.elapsed());
    }
}
