package org.moe4j.train.data;

import java.util.List;

/** Token streams without a split. */
final class Streams {
  private Streams() {}

  static TokenStream of(List<String> texts) {
    BpeTokenizer tokenizer = Fixtures.tokenizer();
    TokenArray tokens = TokenArray.of(tokenizer.vocabSize(), 16);
    int[] starts = new int[texts.size() + 1];
    tokens.add(tokenizer.endOfText());
    for (int d = 0; d < texts.size(); d++) {
      starts[d] = tokens.size();
      for (int id : tokenizer.encodeOrdinary(texts.get(d))) {
        tokens.add(id);
      }
      tokens.add(tokenizer.endOfText());
    }
    starts[texts.size()] = tokens.size();
    return new TokenStream(tokens, tokenizer, starts, new int[texts.size()]);
  }
}
