/** What a stored model is made of, in words and as fields of a document. */
@NullMarked
package org.moe4j.train.inspect;

import org.jspecify.annotations.NullMarked;
