package org.moe4j.train;

import java.nio.file.Path;
import java.util.List;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * The result of a finished run, as {@code summary.json} has it.
 *
 * @param run folder of the run
 * @param model folder of the trained model
 * @param layout the Hugging Face family it is stored as, with reasons
 * @param source the text
 * @param documents training documents
 * @param trainTokens tokens of the training text
 * @param vocab tokens of the vocabulary
 * @param paramsTotal parameters
 * @param paramsActive parameters that one token meets
 * @param steps updates
 * @param skippedSteps steps that updated nothing
 * @param tokens tokens trained on
 * @param valLoss nats per held-out token
 * @param valBpb bits per held-out byte
 * @param order0Bpb bits per byte of the order-0 byte model
 * @param order2Bpb bits per byte of the interpolated order-2 byte model
 * @param tokensPerSecond within the steps
 * @param seconds of the whole run, over all processes that worked on it
 * @param peakMemory most resident memory of this process in bytes; 0 if unknown
 * @param imbalance largest expert load over the mean in the last steps, by sparse layer
 * @param samples continuations of unseen prompts
 */
public record Summary(
    Path run,
    Path model,
    String layout,
    String source,
    long documents,
    long trainTokens,
    int vocab,
    long paramsTotal,
    long paramsActive,
    long steps,
    long skippedSteps,
    long tokens,
    double valLoss,
    double valBpb,
    double order0Bpb,
    double order2Bpb,
    double tokensPerSecond,
    double seconds,
    long peakMemory,
    List<Double> imbalance,
    List<Sample> samples) {

  /** A prompt and what the model made of it. */
  public record Sample(String prompt, String text) {}

  /** Adds the fields to {@code json}. */
  public void writeTo(ObjectNode json) {
    json.put("run", run.toString());
    json.put("model", model.toString());
    json.put("layout", layout);
    json.put("source", source);
    json.put("documents", documents);
    json.put("train_tokens", trainTokens);
    json.put("vocab", vocab);
    json.put("params_total", paramsTotal);
    json.put("params_active", paramsActive);
    json.put("steps", steps);
    json.put("skipped_steps", skippedSteps);
    json.put("tokens", tokens);
    json.put("val_loss", valLoss);
    json.put("val_bpb", valBpb);
    json.put("baseline_order0_bpb", order0Bpb);
    json.put("baseline_order2_bpb", order2Bpb);
    json.put("tokens_per_s", tokensPerSecond);
    json.put("seconds", seconds);
    json.put("peak_memory_bytes", peakMemory);
    ArrayNode loads = json.putArray("expert_imbalance");
    imbalance.forEach(loads::add);
    ArrayNode all = json.putArray("samples");
    samples.forEach(s -> all.addObject().put("prompt", s.prompt()).put("text", s.text()));
  }
}
