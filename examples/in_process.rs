//! Tagrail inside a program, without a server:
//!
//!     cargo run -p tagrail --example in_process
//!     OPENAI_API_KEY=sk-... cargo run -p tagrail --example in_process -- openai/gpt-4o-mini
//!
//! The first needs no key and no network: its deployments answer by themselves. The second asks a real
//! provider, through a wildcard.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::time::Duration;

use serde_json::json;
use tagrail::{Completion, Deployment, Embedding, Fault, Router};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let router = Router::builder()
        .model_list([
            // Whatever begins so goes to its provider, with the key of the environment.
            Deployment::new("openai/*", "openai/*").api_key("os.environ/OPENAI_API_KEY"),
            Deployment::new("anthropic/*", "anthropic/*").api_key("os.environ/ANTHROPIC_API_KEY"),
            // One name, two tiers.
            Deployment::new("chat", "openai/gpt-4o-mini")
                .tags(["free"])
                .mock_response("In brief: yes.")
                .id("free-tier"),
            Deployment::new("chat", "openai/gpt-4o")
                .tags(["paid"])
                .mock_response("At length: yes, and here is why.")
                .id("paid-tier"),
            // A plain value in the shape of LiteLLM's model_list is as good.
            Deployment::from(json!({
                "model_name": "vectors",
                "litellm_params": {"model": "openai/text-embedding-3-small", "mock_response": "none"},
            })),
        ])
        .tag_filtering(true)
        .fallbacks("openai/*", ["chat"])
        .build()?;

    match std::env::args().nth(1).filter(|name| name.contains('/')) {
        Some(model) => ask(&router, &model).await,
        None => tour(&router).await,
    }
}

/// One streamed answer of a real provider.
async fn ask(router: &Router, model: &str) -> Result<(), Box<dyn std::error::Error>> {
    let request = Completion::new(model).user("Say hello in five words.").deadline(Duration::from_secs(30));
    let mut stream = router.stream(request).await?;
    println!("{} answers", stream.facts.model());
    while let Some(chunk) = stream.next().await {
        print!("{}", chunk?.text().unwrap_or_default());
    }
    println!("\n{:?} cost {:?} US dollars", stream.usage(), stream.cost());
    Ok(())
}

/// What there is, without a network.
async fn tour(router: &Router) -> Result<(), Box<dyn std::error::Error>> {
    let question = Completion::new("chat").user("Is this a router?");
    for tag in ["free", "paid"] {
        let reply = router.completion(question.clone().tags([tag])).await?;
        println!("{tag}: {} ({:?} US dollars)", reply.text().unwrap_or_default(), reply.cost());
        println!("    {}", reply.decision().ok_or("every answer was decided")?);
    }

    let mut stream = router.stream(question.clone().tags(["paid"])).await?;
    println!("streamed: {}", stream.text().await?);

    let vectors = router.embedding(Embedding::new("vectors", "some text")).await?;
    println!("embedded by {}", vectors.facts.model());

    let Err(error) = router.completion(question.clone().tags(["nobody-has-this"])).await else {
        return Err("a tag that nobody has found somebody".into());
    };
    assert_eq!(error.fault(), Fault::Caller);
    println!("refused with {}: {error}", error.status());

    println!("{}", router.explain(&question.clone().tags(["free"]).call()?)?.to_text());

    router
        .add_deployment(Deployment::new("new", "openai/gpt-4o").mock_response("Just arrived.").id("added"))?;
    println!("{:?}", router.model_names());
    router.remove_deployment("added")?;
    println!("{:?}", router.model_names());
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn it_runs() {
        super::main().unwrap();
    }
}
