package org.moe4j.cli;

import java.io.PrintWriter;
import java.util.List;
import java.util.Locale;
import org.moe4j.engine.Completion;
import org.moe4j.engine.Engine;
import org.moe4j.engine.Logprobs;
import org.moe4j.engine.Sampling;
import org.moe4j.engine.offload.OffloadStatistics;
import org.moe4j.engine.text.Tokenizer;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * Continues prompts with a GGUF file.
 *
 * @param json whether one document is printed in place of the text
 */
record GgufText(Engine engine, Sampling how, boolean json, PrintWriter out) {
  void generate(List<String> prompts) {
    if (prompts.size() == 1) {
      one(prompts.getFirst());
    } else {
      several(prompts);
    }
  }

  private void one(String prompt) {
    Completion made = engine.generate(prompt, how, this::show);
    if (json) {
      Documents.print(out, node -> put(prompt, made, node, true));
    } else {
      out.println();
    }
  }

  private void show(String part) {
    if (!json) {
      out.print(GenerateCommand.shown(part));
      out.flush();
    }
  }

  /** The texts when all are there: each under its prompt, or a list with the figures of all. */
  private void several(List<String> prompts) {
    long begin = System.nanoTime();
    List<Completion> made = engine.generate(prompts, how);
    double seconds = (System.nanoTime() - begin) * 1e-9;
    if (!json) {
      for (int i = 0; i < made.size(); i++) {
        out.println((i == 0 ? "" : System.lineSeparator()) + prompts.get(i));
        out.println(GenerateCommand.shown(made.get(i).text()));
      }
      return;
    }
    int tokens = made.stream().mapToInt(m -> m.tokens().length).sum();
    Documents.print(
        out,
        node -> {
          ArrayNode results = node.putArray("results");
          for (int i = 0; i < made.size(); i++) {
            put(prompts.get(i), made.get(i), results.addObject(), false);
          }
          node.put("tokens", tokens).put("seconds", seconds).put("tokens_per_s", tokens / seconds);
          offload(node);
        });
  }

  private void put(String prompt, Completion made, ObjectNode node, boolean alone) {
    node.put("prompt", prompt)
        .put("text", made.text())
        .put("prompt_tokens", made.promptTokens())
        .put("tokens", made.tokens().length)
        .put("finish_reason", made.finish().name().toLowerCase(Locale.ROOT));
    if (alone) {
      node.put("seconds", made.seconds())
          .put("tokens_per_s", made.tokens().length / made.seconds())
          .put("prompt_seconds", made.promptSeconds())
          .put("decode_tokens_per_s", made.tokensPerSecond());
      offload(node);
    }
    if (how.logprobs() >= 0) {
      ArrayNode all = node.putArray("logprobs");
      made.logprobs().forEach(l -> put(l, all.addObject()));
    }
  }

  /** What was read of experts on disk, if some are there. */
  private void offload(ObjectNode node) {
    OffloadStatistics s = engine.offloadStatistics();
    if (!s.equals(OffloadStatistics.NONE)) {
      node.putObject("offload")
          .put("hits", s.hits())
          .put("misses", s.misses())
          .put("hit_rate", s.hitRate())
          .put("bytes_read", s.bytesRead())
          .put("guesses", s.guesses())
          .put("guess_accuracy", s.guessAccuracy())
          .put("guesses_read", s.guessesRead())
          .put("guesses_used", s.guessesUsed())
          .put("wait_seconds", s.waitNanos() * 1e-9);
    }
  }

  private void put(Logprobs logprobs, ObjectNode node) {
    Tokenizer tokenizer = engine.tokenizer();
    node.put("token", logprobs.token())
        .put("text", tokenizer.spell(logprobs.token()))
        .put("logprob", logprobs.logprob());
    ArrayNode top = node.putArray("top");
    logprobs
        .top()
        .forEach(
            r ->
                top.addObject()
                    .put("token", r.token())
                    .put("text", tokenizer.spell(r.token()))
                    .put("logprob", r.logprob()));
  }
}
