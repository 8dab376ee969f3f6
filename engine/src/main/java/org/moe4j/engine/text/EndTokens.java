package org.moe4j.engine.text;

import java.util.HashSet;
import java.util.List;
import java.util.OptionalLong;
import java.util.Set;
import org.moe4j.engine.gguf.Metadata;
import org.moe4j.engine.text.Vocabulary.Kind;

/**
 * The tokens that end a text or an answer: those that the file names, and those whose spelling says
 * so, since files name only one of several.
 */
final class EndTokens {
  private static final List<String> KEYS = List.of("eos_token_id", "eot_token_id", "eom_token_id");

  private static final String END = "<|end|>";

  private static final List<String> SPELLINGS =
      List.of(
          "<|endoftext|>",
          "<|end_of_text|>",
          "<|eot_id|>",
          "<|eom_id|>",
          "<|im_end|>",
          END,
          "<|return|>",
          "<|call|>",
          "<|flush|>",
          "<|calls|>",
          "<end_of_turn>",
          "<end_of_utterance>",
          "<\uff5cend\u2581of\u2581sentence\uff5c>",
          "</s>",
          "<EOT>",
          "_<EOT>",
          "[EOT]",
          "[EOS]",
          "[e~[",
          "<|fim_pad|>",
          "<|repo_name|>",
          "<|fim_repo|>",
          "<|file_sep|>");

  /** Marks inside an answer in the harmony format, without which it cannot be understood. */
  private static final List<String> SHOWN =
      List.of("<|start|>", "<|channel|>", "<|message|>", "<|constrain|>");

  private EndTokens() {}

  /** Finds them, and corrects kinds in {@code vocabulary} by their spellings. */
  static Set<Integer> of(Metadata m, Vocabulary vocabulary) {
    Set<Integer> ends = new HashSet<>();
    for (String key : KEYS) {
      OptionalLong id = m.whole("tokenizer.ggml." + key);
      if (id.isPresent() && id.getAsLong() >= 0 && id.getAsLong() < vocabulary.size()) {
        ends.add((int) id.getAsLong());
      }
    }
    for (String spelling : SPELLINGS) {
      int id = vocabulary.id(spelling);
      if (id >= 0) {
        ends.add(id);
        vocabulary.reclassify(id, Kind.CONTROL);
      }
    }
    for (String spelling : SHOWN) {
      show(spelling, vocabulary);
    }
    // In the harmony format it ends a part of an answer, not the answer.
    boolean harmony =
        (vocabulary.id("<|return|>") >= 0 && vocabulary.id("<|call|>") >= 0)
            || (vocabulary.id("<|calls|>") >= 0 && vocabulary.id("<|flush|>") >= 0);
    if (harmony && vocabulary.id(END) >= 0) {
      ends.remove(vocabulary.id(END));
      show(END, vocabulary);
    }
    return Set.copyOf(ends);
  }

  private static void show(String spelling, Vocabulary vocabulary) {
    int id = vocabulary.id(spelling);
    if (id >= 0) {
      vocabulary.reclassify(id, Kind.USER_DEFINED);
    }
  }
}
