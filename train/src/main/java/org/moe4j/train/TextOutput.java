package org.moe4j.train;

import java.util.function.BooleanSupplier;
import java.util.function.Consumer;
import org.moe4j.models.Tokenizer;

/** Collects the tokens that a model makes as text. */
final class TextOutput {
  private final Tokenizer tokenizer;
  private final Tokenizer.Stream decoder;
  private final StringBuilder text = new StringBuilder();
  private final Consumer<String> onText;
  private final BooleanSupplier goesOn;

  TextOutput(Tokenizer tokenizer, Consumer<String> onText, BooleanSupplier goesOn) {
    this.tokenizer = tokenizer;
    this.decoder = tokenizer.stream();
    this.onText = onText;
    this.goesOn = goesOn;
  }

  /** Takes the next token; whether to go on. */
  boolean token(int id) {
    // The model may have more rows than the tokenizer has tokens; these spell nothing.
    if (id < tokenizer.vocabSize()) {
      add(decoder.push(id));
    }
    return goesOn.getAsBoolean();
  }

  private void add(String part) {
    if (!part.isEmpty()) {
      text.append(part);
      onText.accept(part);
    }
  }

  LanguageModel.Continuation finish(int promptTokens, int tokens) {
    add(decoder.finish());
    return new LanguageModel.Continuation(text.toString(), promptTokens, tokens);
  }
}
