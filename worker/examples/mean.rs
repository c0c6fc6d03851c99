use taskgrid_worker::{Failure, StartError, Task, Worker};

async fn mean(task: Task<Vec<f64>>) -> Result<f64, Failure> {
    if task.payload.is_empty() {
        return Err(Failure::permanent("there is no mean of no numbers"));
    }
    Ok(task.payload.iter().sum::<f64>() / task.payload.len() as f64)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), StartError> {
    Worker::builder().handler("mean", mean).run().await
}
