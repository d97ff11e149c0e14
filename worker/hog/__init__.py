"""dlib's frontal face detector, compiled by numba: the same boxes in a third of the time.

The detector is that of Dalal & Triggs 2005 ("Histograms of Oriented Gradients for Human
Detection") with the features of Felzenszwalb et al. 2010 ("Object Detection with Discriminatively
Trained Part-Based Models"), as dlib 20 computes it; each module names dlib's file that it follows.
`worker.finder` uses it through `standby.Standby`.

The pixels of the pyramid are exactly dlib's. The scores of all windows are then computed with
whatever order of additions is fast, which is off by far less than `detector.MARGIN`. A score that
near a decision (its threshold, or its place among the detections) is computed again with every
rounding as in dlib, so that the decisions, hence the boxes, are dlib's.

*level*: a picture of the pyramid, (height, width), uint32, red | green << 8 | blue << 16.
*cell*: 8x8 pixels of a level. *band*: the 8 rows between two rows of cell centres.
*block*: 8 columns of a band, between four centres. *plane*: one of the 31 features of a cell.
*window*: 10x10 cells, named by its row and column in the output of the filters.
*detector*: dlib's is a set of five, each for another turn of the head, with its own threshold.
"""
